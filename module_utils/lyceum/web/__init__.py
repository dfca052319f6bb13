# SPDX-License-Identifier: GPL-3.0-or-later
"""What is served to the network: sites behind nginx, and the certificates they show."""
