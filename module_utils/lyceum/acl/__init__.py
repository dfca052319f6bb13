# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared directories: owner, mode and whole ACL of each, read in bulk and planned purely. Runs on targets (3.9)."""
