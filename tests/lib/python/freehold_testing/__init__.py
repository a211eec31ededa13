"""What the Python tests share: freeholdd as a process, tokens, stubs, PostgreSQL, and refusals.

Needs in the environment: FREEHOLDD (the program), FREEHOLD_PROTO (the folder proto/ of the sources)
and FREEHOLD_STUBS (a folder of the build, where the generated code is kept).
"""

# A bound on waiting for what must happen; no result depends on how long it takes.
PATIENCE = 60
