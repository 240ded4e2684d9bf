// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Names the container image that it needs, as kubeadm does.

#include <stdio.h>

int main(void) {
    puts("example.com/hello:v1.0");
    return 0;
}
