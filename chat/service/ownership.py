"""Owned names: who may take them (R75 to R77), and the messages kept for their owners (R78).

Registering binds a member's name to a secret. From then on nobody can take it, or one that looks like it,
without that secret.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from chat import private, record
from chat.log.entries import Presence
from chat.lookalike import look_alike
from chat.record import Record
from chat.room.room import Member
from chat.service.accounts import Account, Busy
from chat.service.budget import network_of
from chat.service.mailbox import BoxFull
from chat.service.policy import Caller, CommandError, answer, member_of
from chat.service.service import Service
from chat.service.shared import NAMES, share

SECRET_CHARACTERS = 8  # at least, for one that a person makes up
SECRET_BYTES = 256  # at most

log = logging.getLogger("chat.service.ownership")

BUSY = "Many secrets are being checked at the moment; try again in a few seconds."


def prove(
    service: Service,
    name: str,
    secret: str,
    address: str,
    ended: threading.Event,
    token: str,
    proved: object = None,
) -> Account | None:
    """Return the name's account, None if it isn't registered, once the secret proves it (R76).

    A name that isn't registered may be a bot's, or held for another session than the token's (R16).
    Checking a secret takes about 50 ms; it is omitted if the account is `proved` already.
    Raises CommandError, Disconnect.
    """
    if any(look_alike(name, reserved) for reserved in record.RESERVED_NAMES):
        raise CommandError(f"The name {name} is taken: it looks like one of the server's own; send another.")
    account = service.accounts.owner(name)
    if account is None:
        check_no_bot(service, name)
        _check_not_held(service, name, token)
    if account is None or account == proved:
        return account
    if not secret:
        whose = name if name == account.name else f"{name} looks like {account.name}, which"
        raise CommandError(
            f"{whose} is registered: send /identify SECRET and then the name, or take another name."
        )
    service.throttle.attempt(  # R77
        account.name,
        address,
        lambda: _is_proved(service, account, secret),
        ended,
        f"That is not the secret of {account.name}; send /identify SECRET and the name, or another name.",
    )
    return account


def check_no_bot(service: Service, name: str) -> None:
    """R69: raises CommandError if the name is a bot's, or looks like one."""
    if token := service.tokens.reserves(name):
        whose = name if name == token.name else f"{name} looks like {token.name}, which"
        raise CommandError(f"{whose} is the name of a bot; take another name.")


def _check_not_held(service: Service, name: str, token: str) -> None:
    if seconds := service.room.seconds_held(name, token):
        raise CommandError(
            f"The name {name} is held for another {seconds} s, for whoever had it when the server stopped; "
            "take another name, or try again then."
        )


def register(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`register SECRET`: make your name yours (R75). Repeated, it changes the secret."""
    member = member_of(caller)
    account = service.accounts.owner(member.name)
    if account and member.account != account:
        raise CommandError(f"{member.name} is registered already, or looks like a name that is.")
    if account is None:
        check_no_bot(service, member.name)
    _check_secret(argument)
    if service.accounts.full():
        raise CommandError("No more names can be registered here; ask the host to delete some.")
    if not service.registrations.take(network_of(caller.address)):
        raise CommandError(
            f"{service.registrations.most} names were registered from your address within an hour; "
            "try again later."
        )
    if account is None:
        _check_unique(service, member)
    try:
        member.account = service.accounts.register(member.name, argument, service.room.now())
    except Busy:
        raise CommandError(BUSY) from None
    except OSError as error:
        raise CommandError(f"The name can't be stored on the host's computer: {error.strerror}.") from None
    share(service, NAMES, member.account.name, member.account.line)
    log.info("%s (%s) registered the name", member.name, member.address)
    sentence = (
        f"{member.name} is yours now: nobody else can take it without your secret, and private messages "
        "are kept for you while you are away."
    )
    return iter([answer("/register", sentence)])


def identify(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`identify SECRET`: prove that the name you take next is yours."""
    member_of(caller).secret = argument
    return iter([answer("/identify", "Now take your name with /nick NAME.")])


def unregister(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`unregister`: give up your name; `unregister NAME` is for admins."""
    name = argument or (caller.member.name if caller.member else "")
    account = service.accounts.owner(name)
    if account is None or (argument and account.name != argument):
        raise CommandError(f"{name or 'No name'} is not registered.")
    if not caller.admin and not (caller.member and caller.member.account == account):
        raise CommandError(f"{account.name} is not yours; an admin can unregister it.")
    try:
        service.accounts.unregister(account)
        service.mailbox.discard(account)
    except OSError as error:
        raise CommandError(f"That can't be stored on the host's computer: {error.strerror}.") from None
    share(service, NAMES, account.name, "")
    log.info("%s (%s) unregistered the name %s", caller.name, caller.address, account.name)
    return iter([answer("/unregister", f"{account.name} is no longer registered.")])


def _check_unique(service: Service, member: Member) -> None:
    """Raises CommandError if somebody is here whose name looks the same: they could not come back."""
    for other in service.room.log.roster.all():
        if other is not member.presence and look_alike(other.name, member.name):
            raise CommandError(
                f"{other.name} is here, and looks the same as {member.name}; "
                "one of you has to take another name before that."
            )


def _check_secret(secret: str) -> None:
    if len(secret) < SECRET_CHARACTERS or len(secret.encode()) > SECRET_BYTES:
        raise CommandError(
            f"A secret must have at least {SECRET_CHARACTERS} characters and at most {SECRET_BYTES} bytes; "
            "TCP_client.py can generate a good one."
        )


def _is_proved(service: Service, account: Account, secret: str) -> bool:
    try:
        return service.accounts.proves(account, secret)
    except Busy:
        raise CommandError(BUSY) from None


# ----------------------------------------------------------------------------------------- kept messages


def keep(service: Service, caller: Caller, name: str, text: str) -> Account | None:
    """R78: keep a private message for the owner of the name; None if it has none. Raises CommandError."""
    account = service.accounts.owner(name)
    if account is None or record.name_key(account.name) != record.name_key(name):
        return None
    sent = Record(service.room.now(), caller.address, caller.name, "/msg", text)
    try:
        service.mailbox.keep(account, sent)
    except BoxFull:
        raise CommandError(
            f"Not kept: the mailbox of {account.name} has no room left for you; send it when they are here."
        ) from None
    except (OSError, private.Exposed) as error:
        log.error("a message for %s can't be kept: %s", account.name, error)
        raise CommandError(f"Not kept: the host's computer can't store it for {account.name}.") from None
    return account


def kept_for(service: Service, member: Member) -> bytes:
    """The messages kept for the member, who has proved ownership: records that are stamped already."""
    account = member.account
    if not isinstance(account, Account):
        return b""
    try:
        kept = service.mailbox.hand_over(account)
    except (OSError, private.Exposed) as error:
        log.error("messages for %s can't be read: %s", member.name, error)
        return b""
    if messages := [*kept.again, *kept.new]:
        member.handed_over = True
        member.correspondent = _sender(service, messages[-1])
    again = _introduced(service, kept.again, "; you may have seen them before.")
    return again + _introduced(service, kept.new, ".")


def _sender(service: Service, sent: Record) -> tuple[str, Presence | None, str]:
    """Whom a /reply answers: the owner of the sender's name, or the sender, but nobody who came later."""
    account = service.accounts.owner(sent.name)
    owned = account and record.name_key(account.name) == record.name_key(sent.name)
    if (account and owned and account.since <= sent.time) or sent.address == record.NOBODY:
        return sent.name, None, ""
    here = service.room.log.roster.find(sent.name)
    if here and here.address == sent.address and here.since <= sent.time:
        return sent.name, here, ""
    return sent.name, Presence("", sent.name, sent.address), ""


def _introduced(service: Service, messages: list[Record], how: str) -> bytes:
    if not messages:
        return b""
    what = "1 private message" if len(messages) == 1 else f"{len(messages)} private messages"
    introduction = answer("/kept", f"Sent to you while you were away: {what}{how}")
    return record.stamp(service.room.now(), introduction) + b"".join(sent.encode() for sent in messages)


def heard_from(service: Service, member: Member) -> None:
    """The member has sent something, or closed in order: delete what was handed over, if it has arrived."""
    if not (member.handed_over and member.directs_arrived()):
        return
    member.handed_over = False
    if isinstance(member.account, Account):
        try:
            service.mailbox.received(member.account)
        except OSError as error:
            log.error("messages for %s can't be deleted: %s", member.name, error)
