# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL: its configuration, and roles, databases, memberships and grants from one list."""
