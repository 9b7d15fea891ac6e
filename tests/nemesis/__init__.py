"""The nemesis of the hand-over: workers are killed at every gap, and the provider's own log is the judge.

A seed decides everything: what is proposed, how the provider behaves, at which gap which worker dies or
is frozen, who restarts when, and whether another policy set comes into force meanwhile (`plan`). The
provider is a process of its own that writes down every acceptance before it answers (`oracle`). The workers
are the real `worker.py`, started by a fork server, with the gap of their death built into the ledger and the
sockets they use (`life`). After the storm healthy workers must bring every proposal to its end (`storm`), and
provider, ledger, account and history must tell the same story (`checker`).

`python -m tests.nemesis --seed N` plays one seed again.
"""
