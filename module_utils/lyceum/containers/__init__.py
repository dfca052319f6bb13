# SPDX-License-Identifier: GPL-3.0-or-later
"""Rootless containers of people: their limits over time, the images they share, and what makes them possible."""
