"""A mail server on a port of 127.0.0.1 that the system chooses, of aiosmtpd.

Arguments: what it speaks (smtps, starttls, or plain: without TLS and without passwords), then the files of its
certificate and key. USER and PASSWORD, in the environment, are who may send. It prints its port, then each
mail that it takes and each try to log in, as JSON.
"""

import asyncio
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = envelope.content.decode("ascii", "backslashreplace")
        tell(mail=mail, sender=envelope.mail_from, receivers=envelope.rcpt_tos, login=session.authenticated)
        return "250 taken"


def tell(**what):
    print(json.dumps(what), flush=True)


def authenticate(_server, _session, _envelope, _mechanism, data):
    right = LoginPassword(os.environb[b"USER"], os.environb[b"PASSWORD"])
    tell(tried=data == right)
    return AuthResult(success=data == right, handled=False)


async def serve(speaks, certificate, key):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)

    def protocol():
        if speaks == "plain":
            return SMTP(Handler())
        # With smtps all is TLS before the server speaks, which it does not know.
        starttls = speaks == "starttls"
        return SMTP(
            Handler(),
            tls_context=tls if starttls else None,
            require_starttls=starttls,
            auth_require_tls=starttls,
            auth_required=True,
            authenticator=authenticate,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if speaks == "smtps" else None)
    tell(port=server.sockets[0].getsockname()[1])
    # It lasts as long as whoever started it holds its input.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve(*sys.argv[1:]))
