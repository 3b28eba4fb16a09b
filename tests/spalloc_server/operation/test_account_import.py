"""An administrator moves the users, groups and quotas of the Java service here: real processes, virtual boards."""

from pathlib import Path

import pytest

from tests.processes import spalloc_server
from tests.spalloc_server.config.test_exports import GROUPS, MEMBERS, USERS
from tests.spalloc_server.operation.test_account_command import account, done, listed

pytestmark = pytest.mark.slow


def test_accounts_and_groups_are_made_once_however_often_they_are_imported(tmp_path: Path) -> None:
    files = []
    for name, text in (("members.csv", MEMBERS), ("users.tsv", USERS), ("groups.csv", GROUPS)):
        (tmp_path / name).write_text(text)
        files.append(str(tmp_path / name))
    with spalloc_server(["--virtual", "1x1", "--port", "0", "--state", str(tmp_path / "state")]):
        socket = tmp_path / "state.socket"
        done(socket, "add", "bob", "--no-password")
        tried = done(socket, "import", "--dry-run", *files)
        assert "would be done: account ada is made, with the role administrator and no password" in tried
        assert [one["name"] for one in listed(socket, "list")] == ["bob"]
        first = account(socket, "import", *files)
        assert first.returncode == 0, first.stderr
        assert "group physics is made, with a quota of 1 board-hour" in first.stdout
        assert "account ada is put into physics, theory" in first.stdout
        assert "note: 1 account is there already, and left as it is" in first.stderr
        assert "note: 1 user of OpenID Connect left out" in first.stderr
        assert "note: passwords can't be moved" in first.stderr
        again = account(socket, "import", *files)
        assert (again.returncode, again.stdout) == (0, "")
        there = {one["name"]: one for one in listed(socket, "list")}
        assert sorted(there) == ["ada", "bob", "bot", "guest"]
        assert there["ada"]["groups"] == ["physics", "theory"]
        assert (there["bob"]["groups"], there["bob"]["locked"]) == (["physics"], False)
        assert (there["guest"]["role"], there["guest"]["locked"]) == ("reader", True)
        assert not any(one["has_password"] for one in there.values())


def test_what_the_server_refuses_is_told_and_the_rest_is_done(tmp_path: Path) -> None:
    (tmp_path / "members.csv").write_text("user_name,group_name\nada,nowhere\nbob,lab\n")
    (tmp_path / "groups.csv").write_text("group_name,quota\nlab,60\n")
    with spalloc_server(["--virtual", "1x1", "--port", "0", "--state", str(tmp_path / "state")]):
        socket = tmp_path / "state.socket"
        done(socket, "add", "bob", "--no-password")
        found = account(socket, "import", str(tmp_path / "members.csv"), str(tmp_path / "groups.csv"))
        assert found.returncode == 1
        assert "not done: account ada is put into nowhere: there is no account 'ada'" in found.stderr
        assert "account bob is put into lab" in found.stdout
        missing = account(socket, "import", str(tmp_path / "none.csv"))
        assert missing.returncode == 2
        assert "none.csv can't be read: No such file or directory" in missing.stderr
