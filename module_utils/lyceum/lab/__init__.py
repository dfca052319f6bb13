# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: booted Debian hosts as containers on the machine Lyceum is started on. Controller side only."""
