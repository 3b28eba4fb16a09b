"""Users, groups and memberships of the Java service, read from what its database exports."""

import pytest

from spalloc_server.config.migration.people import Exported, ExportError, User
from spalloc_server.core.askers import Role

USERS = """user_name\ttrust_level\tlocked\tis_local\topenid_subject
ada\t3\t0\t1\tNULL
bob\tUSER\t1\t1\tNULL
bot\t4\t0\t1\tNULL
guest\t0\t0\t1\tNULL
openid.cleo\t2\t0\t0\t1b2c
"""
GROUPS = """group_name,quota
physics,3600
"free, as in beer",
overdrawn,-20
theory,
"""
MEMBERS = """user_name,group_name
ada,physics
ada,theory
bob,physics
openid.cleo,theory
"""


def test_users_have_the_roles_that_their_levels_mean() -> None:
    exported = Exported()
    exported.add(USERS, "users.tsv")
    assert exported.users == {
        "ada": User("ada", Role.ADMINISTRATOR, False),
        "bob": User("bob", Role.USER, True),
        "bot": User("bot", Role.SERVICE, False),
        "guest": User("guest", Role.READER, True),
    }
    assert exported.by_issuer == {"openid.cleo"}
    assert exported.notes == [
        "user guest has the level BASIC, which may look at nothing: the account is a reader's, and locked"
    ]


def test_groups_keep_what_is_left_of_their_quotas() -> None:
    exported = Exported()
    exported.add(GROUPS, "groups.csv")
    assert exported.groups == {"physics": 3600.0, "overdrawn": 0.0, "theory": None}
    left_out, overdrawn = exported.notes
    assert left_out.startswith("group 'free, as in beer' was left out: a name is letters of A to Z")
    assert overdrawn == "group overdrawn has used 20 board-seconds more than it may: its quota is 0"


def test_members_are_those_who_had_passwords_in_whatever_order_the_exports_come() -> None:
    for order in ((USERS, MEMBERS), (MEMBERS, USERS)):
        exported = Exported()
        for text in order:
            exported.add(text, "export")
        assert dict(exported.memberships()) == {"ada": ["physics", "theory"], "bob": ["physics"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "export:1: the headings are ''; they must have one of: user_name,trust_level,locked,is_local; "),
        ("name,age\nada,36\n", "export:1: the headings are 'name,age'"),
        ("group_name,quota\nlab\n", "export:2: this line has not as many values as headings"),
        ("group_name,quota\nlab,1,2\n", "export:2: this line has not as many values as headings"),
        ("group_name,quota\nok,1\nlab,much\n", "export:3: could not convert string to float: 'much'"),
        ("group_name,quota\nlab,nan\n", "export:2: the quota is nan; it must be at most"),
        ("group_name,quota\nlab,1e30\n", "export:2: the quota is 1e30; it must be at most"),
        (
            "user_name,trust_level,locked,is_local\nada,9,0,1\n",
            "export:2: trust_level is '9'; it must be 0 to 4",
        ),
        (
            "user_name,trust_level,locked,is_local\nada,2,no,1\n",
            "export:2: locked is 'no'; it must be 0 or 1",
        ),
    ],
)
def test_what_is_no_export_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ExportError) as error:
        Exported().add(text, "export")
    assert str(error.value).startswith(said)
