# SPDX-License-Identifier: GPL-3.0-or-later
"""What confined people see of a host. Runs on targets (stdlib, 3.9), as root in PAM or as the person at every login."""
