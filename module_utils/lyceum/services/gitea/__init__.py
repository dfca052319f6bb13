# SPDX-License-Identifier: GPL-3.0-or-later
"""People, organizations and repositories of a Gitea, over its API.

- `errors`: what Gitea's answers mean. `client`: the calls, and nothing else.
- `state`: what Gitea says, as values that can be compared. `guard`: how much may be taken away in one run.
- `people*`, `organizations*`, `migrations*`: what is wanted (`_plan` compares, without any call), the steps that bring
  it about (`_steps`), and one run from reading to reading back (`_run`).
"""
