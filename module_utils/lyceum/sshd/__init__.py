# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSH side of a host: root-owned authorized keys and drop-ins of sshd_config. Runs on targets (stdlib, 3.9)."""
