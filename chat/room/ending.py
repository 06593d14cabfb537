"""How a connection ends (R36). Each ending is a constant here, and Room.leave handles all of them.

ending          received, but not handled yet            not sent yet
EXIT            dropped                                  sent, up to its own leave
CLOSED          nothing is left                          sent
LOST            handled, as far as the rate allows       dropped
RECONNECTING    dropped: the client sends it again       dropped: the new connection gets it
SERVER_STOPPED, BANNED, EXPELLED, kicked
                dropped                                  sent
"""

from __future__ import annotations

from dataclasses import dataclass

from chat import record


@dataclass(frozen=True, slots=True)
class Ending:
    """`reason` is the text of the leave record.

    `input_counts`: what was received is still handled. `hears_rest`: everything up to the leave is still
    sent.
    """

    reason: str
    input_counts: bool = False
    hears_rest: bool = True


EXIT = Ending(record.LEFT_EXIT)
CLOSED = Ending(record.LEFT_CLOSED, input_counts=True)
LOST = Ending(record.LEFT_LOST, input_counts=True, hears_rest=False)
RECONNECTING = Ending(record.LEFT_RECONNECTING, hears_rest=False)
SERVER_STOPPED = Ending(record.LEFT_SERVER_STOPPED)
BANNED = Ending(record.LEFT_BANNED)
EXPELLED = Ending(record.LEFT_EXPELLED)


def kicked(by: str, because: str) -> Ending:
    """An admin ended the connection. `because` is empty, or ": " and the reason."""
    return Ending(f"{record.LEFT_KICKED}{by}{because}")


def ending_of(reason: str) -> Ending:
    """The ending of a member whose leave, with this reason, was proposed by another server."""
    for ending in (RECONNECTING, BANNED, SERVER_STOPPED):
        if ending.reason == reason:
            return ending
    return Ending(reason, hears_rest=reason != record.LEFT_LOST)
