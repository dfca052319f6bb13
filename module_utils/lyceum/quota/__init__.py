# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk quotas of people, groups and projects: what should hold, what the kernel has, and how to get there."""
