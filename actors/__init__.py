"""Ray actors: a thin actor and a typed handle over each plain class, and the directory of who serves whom.

Nothing is imported here, so that the process of a host loads no more than it needs: `actors.tenant_handle`
has what callers hold.
"""
