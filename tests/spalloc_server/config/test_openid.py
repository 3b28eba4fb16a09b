"""What `[http.openid]` may say, and what does not fit together."""

from pathlib import Path

import pytest

from spalloc_server.config.changes import differences, needs_restart
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.settings import Configuration
from spalloc_server.core.askers import Role
from spalloc_server.fronts.http.openid import ALGORITHMS, GroupRule, OpenId, Pattern, RoleRule
from spalloc_server.scripts.check import main as check
from tests.spalloc_server.config.examples import ONE_BOARD
from tests.spalloc_server.config.examples import read as read_file

LEAST = 'issuer = "https://issuer.example/realm"\nclient = "spalloc"\n'
SECRET = "never to be seen"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    secret = tmp_path / "openid.secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    return tmp_path


def read(openid: str, folder: Path) -> Configuration:
    return read_file(f"[http]\n[http.openid]\n{openid}\n{ONE_BOARD}", folder)


def settings(openid: str, folder: Path) -> OpenId:
    found = read(openid, folder).http
    assert found is not None
    assert found.openid is not None
    return found.openid


def mistakes(openid: str, folder: Path) -> str:
    with pytest.raises(ConfigurationError) as error:
        read(openid, folder)
    assert SECRET not in str(error.value)
    return str(error.value)


def test_an_issuer_and_a_client_are_enough(folder: Path) -> None:
    assert settings(LEAST, folder) == OpenId(issuer="https://issuer.example/realm", client="spalloc")
    assert settings(LEAST, folder).audiences == ("spalloc",)
    found = read_file(f"[http]\n{ONE_BOARD}", folder).http
    assert found is not None
    assert found.openid is None


def test_all_settings_are_read(folder: Path) -> None:
    found = settings(
        f"""
        {LEAST}
        secret = "openid.secret"
        title = "EBRAINS"
        scopes = ["openid", "team"]
        audience = ["team"]
        clients = ["notebook"]
        algorithms = ["RS256"]
        hosts = ["keys.example"]
        prefix = "people."
        name = "sub"
        role = "none"
        session_hours = 1
        [[http.openid.roles]]
        claim = "roles.spalloc"
        match = ["admin", "root-*"]
        role = "administrator"
        [[http.openid.groups]]
        claim = "roles.team"
        match = ["collab-*-editor"]
        make = true
        quota = 3600000
        [[http.openid.groups]]
        claim = "unit"
        match = ["/staff"]
        name = "our-staff"
        """,
        folder,
    )
    assert found == OpenId(
        issuer="https://issuer.example/realm",
        client="spalloc",
        secret=SECRET,
        title="EBRAINS",
        scopes=("openid", "team"),
        audience=("team",),
        clients=("notebook",),
        algorithms=("RS256",),
        hosts=("keys.example",),
        prefix="people.",
        name="sub",
        role=None,
        roles=(RoleRule("roles.spalloc", (Pattern("admin"), Pattern("root-", "")), Role.ADMINISTRATOR),),
        groups=(
            GroupRule(
                "roles.team", (Pattern("collab-", "-editor"),), Pattern("people.", ""), 3_600_000.0, True
            ),
            GroupRule("unit", (Pattern("/staff"),), Pattern("our-staff")),
        ),
        session_hours=1.0,
    )
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("openid", "why"),
    [
        ("", "http.openid has no issuer; expected its address"),
        ('issuer = "https://a.example"', "http.openid has no client"),
        (LEAST.replace("https", "http"), "expected an address with https"),
        (LEAST.replace("/realm", "/realm?x=1"), "expected an address with https"),
        (LEAST + "secrets = 1", "is not a setting; did you mean 'secret'?"),
        (LEAST + 'algorithms = ["none"]', 'algorithms[0] is "none"; expected "RS256" or'),
        (LEAST + 'algorithms = ["HS256"]', 'algorithms[0] is "HS256"; expected "RS256" or'),
        (LEAST + "algorithms = []", "algorithms is empty; give one"),
        (LEAST + 'scopes = ["profile"]', 'scopes lacks "openid"'),
        (LEAST + 'scopes = ["open id"]', "expected a scope"),
        (LEAST + "audience = []", "would be let in; give clients"),
        (LEAST + 'prefix = "-x"', "expected what names of accounts may begin with"),
        (LEAST + 'prefix = "x y"', "expected what names of accounts may begin with"),
        (LEAST + 'role = "root"', 'expected "reader" or'),
        (LEAST + "session_hours = 0", "expected a number of hours, more than 0"),
        (LEAST + 'secret = "missing"', "can't be read"),
        (LEAST + 'authority = "missing"', "http.openid.authority can't be used"),
        (LEAST + 'authority = "openid.secret"', "http.openid.authority can't be used"),
        (LEAST + '[[http.openid.roles]]\nclaim = "x"\nmatch = ["**"]\nrole = "user"', "at most one *"),
        (LEAST + '[[http.openid.roles]]\nclaim = "x"', "roles[0] has no match"),
        (LEAST + '[[http.openid.groups]]\nclaim = "x"\nmatch = ["y"]', "which group it means is not said"),
        (LEAST + '[[http.openid.groups]]\nclaim = "x"\nmatch = ["*"]\nquota = 5', "add make = true"),
    ],
)
def test_mistakes_are_told_with_what_is_allowed(openid: str, why: str, folder: Path) -> None:
    assert why in mistakes(openid, folder)


def test_a_site_may_go_by_the_programs_alone(folder: Path) -> None:
    assert settings(LEAST + 'audience = []\nclients = ["notebook"]', folder).audiences == ()


def test_a_secret_that_everybody_may_read_or_that_is_none_is_refused(folder: Path) -> None:
    secret = folder / "openid.secret"
    secret.chmod(0o644)
    assert f"may read or change {secret}; type: chmod 640 {secret}" in mistakes(
        LEAST + 'secret = "openid.secret"', folder
    )
    for text in ("", "\n", "one\ntwo\n", "tab\tin it"):
        secret.write_text(text)
        secret.chmod(0o600)
        assert "must have one line, with the secret" in mistakes(LEAST + 'secret = "openid.secret"', folder)


def test_a_reload_tells_what_is_different_but_no_secret(folder: Path) -> None:
    old = read(LEAST + 'secret = "openid.secret"', folder)
    (folder / "openid.secret").write_text("another that is secret")
    (folder / "openid.secret").chmod(0o600)
    new = read(LEAST + 'secret = "openid.secret"\ntitle = "EBRAINS"', folder)
    assert differences(old, new) == [
        "http.openid.secret is another",
        'http.openid.title is "EBRAINS", was "single sign-on"',
    ]
    assert needs_restart(old, new) == []
    without = read_file(f"[http]\n{ONE_BOARD}", folder)
    assert differences(without, new) == ["http.openid is new"]
    assert differences(new, without) == ["http.openid is gone"]


def test_check_says_by_which_issuer_people_log_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "site.toml"
    path.write_text(f'[http]\n[http.openid]\n{LEAST}secret = "openid.secret"\n{ONE_BOARD}')
    assert check([str(path)]) == 0
    said = capsys.readouterr().out
    assert "  logins by https://issuer.example/realm, as its client spalloc" in said
    assert SECRET not in said


def test_no_algorithm_has_a_secret_in_common() -> None:
    assert not [name for name in ALGORITHMS if name.startswith("HS") or name == "none"]
