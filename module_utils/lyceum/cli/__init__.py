# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: it edits the registry, and runs playbooks and tests that an admin could run by hand."""
