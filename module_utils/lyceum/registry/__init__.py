# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of people, groups, projects and limits. Controller side only; pure apart from `load` and `edit`."""
