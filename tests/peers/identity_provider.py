"""Runs inside the environment of pytest-iam: Canaille, an OpenID Connect provider, on a free port of this computer.

Imports nothing of this project. Prints its issuer's address, and then takes one command a line on its standard input,
each a JSON list of a name and its arguments, and answers each with one line of JSON. It ends with its input.
"""

import datetime as dt
import json
import logging
import os
import sys
import threading
import uuid

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import portpicker
from canaille import create_app
from canaille.backends import Backend
from joserfc import jwt
from joserfc.jwk import JWKRegistry
from pytest_iam import Server


def new_key(kind="RSA", size=2048):
    key = JWKRegistry.generate_key(kind, size)
    key.ensure_kid()
    return key


PORT = portpicker.pick_unused_port()
ISSUER = f"http://localhost:{PORT}"
keys = [new_key()]
logging.disable(logging.CRITICAL)
app = create_app(
    config={
        "TESTING": True,
        "ENV_FILE": None,
        "SECRET_KEY": str(uuid.uuid4()),
        "WTF_CSRF_ENABLED": False,
        "PREFERRED_URL_SCHEME": "http",
        "SERVER_NAME": f"localhost:{PORT}",
        "CANAILLE": {
            "DATABASE": "memory",
            "JAVASCRIPT": False,
            "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc", "manage_oidc"]}},
        },
        "CANAILLE_OIDC": {
            "ACTIVE_JWKS": [keys[0].as_dict(private=True)],
            "USERINFO_MAPPING": {"PREFERRED_USERNAME": "{{ user.user_name }}"},
        },
    }
)
server = Server(app, PORT, Backend.instance)
lock = threading.Lock()
users, clients, asked = {}, {}, []


@app.before_request
def note():
    from flask import request

    asked.append(f"{request.method} {request.path}")


def add_client(name, secret, redirect):
    client = server.models.Client(
        client_id=name,
        client_secret=secret,
        client_name=name,
        client_uri="http://127.0.0.1",
        redirect_uris=[redirect],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="client_secret_basic",
        scope=["openid", "profile", "email", "groups"],
    )
    server.backend.save(client)
    client.audience = [client]
    server.backend.save(client)
    clients[name] = client


def add_user(name, groups):
    users[name] = user = server.random_user(user_name=name)
    for group in groups:
        found = server.backend.query(server.models.Group, display_name=group)
        if found:
            found[0].members = [*found[0].members, user]
            server.backend.save(found[0])
        else:
            server.random_group(display_name=group, members=[user])
    for client in clients.values():
        server.consent(user, client)


def log_in(name):
    """Say that whoever comes with a browser is this user."""
    server.login(users[name])


def visit(asked):
    """Go to the provider as the browser of who is logged in, and return the address that it sends back to."""
    with app.test_client() as browser:
        answer = browser.get("/oauth/authorize", query_string=asked)
    return answer.headers["Location"]


def opaque(user, client, audience=()):
    """Return a token that was given to a program, for itself and for others."""
    readers = [clients[name] for name in (client, *audience)]
    return server.random_token(users[user], clients[client], audience=readers).access_token


def revoke(token):
    (found,) = server.backend.query(server.models.Token, access_token=token)
    found.revokation_date = dt.datetime.now(dt.UTC)
    server.backend.save(found)


def sign(claims, **head):
    """Return a token of any claims, signed with the provider's own key."""
    return jwt.encode({"alg": "RS256", "kid": keys[0].kid, **head}, {"iss": ISSUER, **claims}, keys[0])


def change_keys():
    keys[0] = new_key()
    app.config["CANAILLE_OIDC"]["ACTIVE_JWKS"] = [keys[0].as_dict(private=True)]


def requests():
    """Return what was asked for since the last time."""
    told = list(asked)
    asked.clear()
    return told


COMMANDS = {
    "add_client": add_client,
    "add_user": add_user,
    "log_in": log_in,
    "visit": visit,
    "opaque": opaque,
    "revoke": revoke,
    "sign": sign,
    "change_keys": change_keys,
    "requests": requests,
}

threading.Thread(target=server.httpd.serve_forever, daemon=True).start()
print(json.dumps(ISSUER), flush=True)
with app.app_context():
    for line in sys.stdin:
        name, arguments, named = json.loads(line)
        print(json.dumps(COMMANDS[name](*arguments, **named)), flush=True)
server.httpd.shutdown()
