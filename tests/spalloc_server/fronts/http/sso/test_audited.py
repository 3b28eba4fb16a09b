"""Logins by an issuer, right and wrong, are in the audit, and nothing secret is."""

import pytest

from spalloc_server.store.audit import AuditQuestion
from tests.spalloc_server.fronts.http.service import Service
from tests.spalloc_server.fronts.http.sso.double import Double, answered
from tests.spalloc_server.fronts.http.sso.signed_in import account, run
from tests.spalloc_server.fronts.http.sso.test_browsers import Browser, gives

CODE = "code-that-nobody-may-read"


def test_logins_by_an_issuer_right_and_wrong_are_in_the_audit_and_no_secret_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(service: Service, double: Double) -> None:
        token, wrong, opaque = double.token(), double.token(aud="x"), "opaque-that-nobody-may-read"
        for address, sent in (("10.0.0.1", token), ("10.0.0.2", wrong), ("10.0.0.3", opaque)):
            await account(service.client(address), sent)
        browser = Browser(service.client("10.0.0.4"))
        asked = await browser.begin()
        gives(double, asked)
        await browser.come_back(code=CODE, state=asked["state"])
        double.answers["/token"] = answered({"error": "invalid_grant", "error_description": CODE}, 400)
        browser = Browser(service.client("10.0.0.5"))
        again = await browser.begin()
        await browser.come_back(code=CODE, state=again["state"])
        await browser.come_back(code=CODE, state=again["state"])
        await service.people.recorded()
        found = service.store.audit_entries(AuditQuestion(0.0, 1e11))
        logins = [(one.host, one.subject, one.outcome) for one in found if one.what == "log-in"]
        assert [login[:2] for login in logins] == [
            ("10.0.0.1", "account openid.jane"),
            ("10.0.0.2", None),
            ("10.0.0.3", None),
            ("10.0.0.4", "account openid.jane"),
            ("10.0.0.5", None),
            ("10.0.0.5", None),
        ]
        assert (logins[0][2], logins[3][2]) == (None, None)
        for number, why in ((1, "not for this service"), (2, "none of the issuer's"), (5, "used already")):
            assert why in str(logins[number][2])
        assert "invalid_grant" in str(logins[4][2])
        told = str(found) + "\n".join(str(one.__dict__) for one in caplog.records if "audit" in one.name)
        assert "audit: %s" in told
        of_logins = [login[name] for login in (asked, again) for name in ("state", "nonce", "code_challenge")]
        for secret in (token, wrong, opaque, CODE, *of_logins, "only ours"):
            assert secret not in told

    caplog.set_level("INFO", "spalloc_server.auditing")
    run(test)
