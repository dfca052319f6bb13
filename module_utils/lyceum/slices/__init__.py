# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of people as drop-ins of their slices, and what the slices really do."""
