# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of Lyceum: pure, typed Python shared by modules, filters, callbacks and the command line."""
