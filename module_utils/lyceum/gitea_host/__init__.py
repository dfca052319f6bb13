# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role `gitea` does on the host itself: its program from one release to the next, and the bot's token."""
