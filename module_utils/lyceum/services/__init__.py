# SPDX-License-Identifier: GPL-3.0-or-later
"""Provisioning of people into services over HTTP, from the controller: one engine, one adapter for each service.

An adapter probes, observes in bulk, and plans a list of `steps.Step`; `engine.run` carries them out.

- `errors`: what a service's answer means. Each adapter has one function that tells; the engine knows only the classes.
- `http`: a pooled client that never shows its credentials. `secret`: values that print as nothing.
- `steps`, `engine`, `outcome`: the steps, how they are carried out, what came of it (as Ansible returns it).
- `journal`: what was sent and what came of it, so that a killed run is resumed and nothing is made twice.
- `backoff`, `breaker`: when to try again, and when to leave a service alone.
"""
