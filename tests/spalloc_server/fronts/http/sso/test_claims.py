"""What an issuer's claims give: the name of an account, its role and its groups."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.accounts import name_flaw
from spalloc_server.core.askers import Role
from spalloc_server.core.identities import Identity, Membership
from spalloc_server.fronts.http.openid import GroupRule, OpenId, Pattern, RoleRule
from spalloc_server.fronts.http.sso.claims import ClaimsError, found, lacks, person
from tests.examples import examples
from tests.spalloc_server.fronts.http.sso.signing import ISSUER, OPENID, claims


def pattern(text: str) -> Pattern:
    read = Pattern.read(text)
    assert read is not None
    return read


def likes(*written: str) -> tuple[Pattern, ...]:
    return tuple(map(pattern, written))


COLLABS = GroupRule(
    "roles.team",
    likes("collab-*-administrator", "collab-*-editor", "collab-*-viewer"),
    pattern("openid.*"),
    3_600_000.0,
    True,
)
EBRAINS = replace(OPENID, groups=(COLLABS, GroupRule("unit", likes("/all/*"), pattern("unit.*"))))


def of(openid: OpenId = OPENID, **said: Any) -> Any:
    return person(openid, claims(**{"preferred_username": "jane", **said}))


def refused(openid: OpenId = OPENID, **said: Any) -> str:
    with pytest.raises(ClaimsError) as caught:
        of(openid, **said)
    return str(caught.value)


def test_somebody_is_known_by_issuer_and_subject_and_called_by_their_name() -> None:
    jane = of()
    assert (jane.identity, jane.name, jane.role) == (Identity(ISSUER, "u-1"), "openid.jane", Role.USER)
    assert jane.groups is None
    assert of(replace(OPENID, prefix="", name="email"), email="jane@x.example").name == "jane@x.example"


@pytest.mark.parametrize("name", [None, "", 7, ["jane"], {"a": "b"}, True])
def test_without_a_name_there_is_no_account(name: Any) -> None:
    assert "gives no name for an account: the claim preferred_username is" in refused(preferred_username=name)


@pytest.mark.parametrize("name", ["jane doe", "jäne", "jane/..", "x" * 100, "jane\n", "<b>", "а"])
def test_a_name_that_no_account_can_have_is_refused_and_shown_without_harm(name: str) -> None:
    said = refused(preferred_username=name)
    assert "no account's name can be made" in said
    assert said.isprintable()


@pytest.mark.parametrize("subject", [None, "", 7, ["u-1"], "x" * 256, "a\nb"])
def test_without_a_subject_nobody_is_known(subject: Any) -> None:
    assert "the claim sub is missing or not valid" in refused(sub=subject)


def test_a_claim_may_be_inside_another_or_have_dots_in_its_name() -> None:
    said = {"a": {"b": {"c": 1}}, "x.y": 2, "x": {"y": 3}, "https://x.example/z": 4, "s": "t"}
    assert [found(said, path) for path in ("a.b.c", "x.y", "https://x.example/z", "a.q", "s.t", "q")] == [
        1, 2, 4, None, None, None,
    ]  # fmt: skip
    assert lacks(EBRAINS, claims(preferred_username="jane", unit=[]))
    assert not lacks(EBRAINS, claims(preferred_username="jane", unit=[], roles={"team": []}))


def test_the_first_rule_that_fits_gives_the_role() -> None:
    openid = replace(
        OPENID,
        roles=(
            RoleRule("spalloc", likes("banned"), Role.READER),
            RoleRule("spalloc", likes("admin", "root-*"), Role.ADMINISTRATOR),
        ),
    )
    for value, role in (
        (["admin"], Role.ADMINISTRATOR),
        ("admin", Role.ADMINISTRATOR),
        (["x", "root-1"], Role.ADMINISTRATOR),
        (["admin", "banned"], Role.READER),
        (["Admin", "admins", "root-", " admin"], Role.USER),
        (None, Role.USER),
    ):
        assert of(openid, spalloc=value).role is role, value
    nobody = replace(openid, role=None)
    assert of(nobody, spalloc="admin").role is Role.ADMINISTRATOR
    assert "nothing that it says of you allows you to use this service" in refused(nobody)


@pytest.mark.parametrize("value", [7, True, {"admin": True}, ["admin", 7], [["admin"]], [None]])
def test_claims_of_odd_types_give_no_role_and_no_groups_but_a_reason(value: Any) -> None:
    openid = replace(OPENID, roles=(RoleRule("spalloc", likes("admin"), Role.ADMINISTRATOR),))
    assert "the issuer's claim spalloc is not as expected" in refused(openid, spalloc=value)


def test_members_of_a_collaboration_are_in_its_group() -> None:
    team = [
        "collab-brain-editor",
        "collab-brain-viewer",
        "collab-a-b-administrator",
        "group-x",
        "collab--editor",
    ]
    jane = of(EBRAINS, roles={"team": team}, unit=["/all/institutions/x", "/all/two words"])
    assert jane.groups == (
        Membership("openid.a-b", True, 3_600_000.0),
        Membership("openid.brain", True, 3_600_000.0),
        Membership("unit.institutions.x"),
    )
    assert jane.left_out == ("unit.two words",)


def test_there_may_be_very_many_groups_but_not_any_number() -> None:
    many = [f"collab-{number}-editor" for number in range(5000)]
    assert len(of(EBRAINS, roles={"team": many}).groups) == 5000
    assert "more than 5000 values" in refused(EBRAINS, roles={"team": [*many, "x"]})
    assert of(EBRAINS, roles={"team": ["collab-" + "x" * 1000 + "-editor"]}).groups == ()


def test_a_value_without_a_star_names_one_group() -> None:
    staff = replace(OPENID, groups=(GroupRule("unit", likes("staff"), pattern("our-staff")),))
    assert of(staff, unit=["staff", "other"]).groups == (Membership("our-staff"),)


@given(st.text(alphabet="ab*", max_size=5), st.text(alphabet="ab", max_size=6))
@examples(300)
def test_a_pattern_fits_what_has_its_beginning_and_end_and_something_between(text: str, value: str) -> None:
    read = Pattern.read(text)
    assert (read is None) == (not text or text.count("*") > 1)
    if read is None:
        return
    assert str(read) == text
    star = read.found(value)
    if star is not None:
        assert text.replace("*", star) == value
        assert star


@given(st.text(max_size=80))
@examples(200)
def test_whatever_the_issuer_calls_somebody_the_account_has_a_name_that_may_be(given_name: str) -> None:
    try:
        assert name_flaw(of(preferred_username=given_name).name) is None
    except ClaimsError:
        pass
