"""Who may do what: the host's policy, limits, bans, and the table of commands.

A caller (a member, or the host at the console) makes a request, which is performed or refused with a
sentence. This layer knows members and the room; it knows no socket to read from, nor how a request came in.
"""
