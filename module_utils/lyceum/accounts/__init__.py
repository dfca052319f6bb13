# SPDX-License-Identifier: GPL-3.0-or-later
"""Local POSIX accounts of a host: observe in bulk, plan purely, apply atomically. Runs on targets (stdlib, 3.9)."""
