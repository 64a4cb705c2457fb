#!/bin/busybox sh
# The first process of the emulated machine: makes it usable, runs the steps it was given, reports each
# one's exit code on a serial port of its own, and powers off.
#   ttyS0: the kernel's console   ttyS1: what the steps say and hear   ttyS2: the report

# Opened anew for each line: closing the port waits until the line has left the machine.
report() { echo "$*" >/dev/ttyS2; }

give_up() {
    report "fault $*"
    poweroff -f
}

# Leads the session of a step. When a leader ends the kernel hangs its terminal up, which drops what has not
# left the machine yet: the last lines of a step that says little and ends at once. So the leader is not the
# step, outlives it, and waits for the line as `stty` does when it sets anything.
LEAD='trap : INT; "$@"; code=$?; stty -echo; exit $code'

step() {
    name=$1
    shift
    report "start $name"
    # A session of its own, so that a ^C that comes in on the port interrupts the step and not this script.
    setsid -c sh -c "$LEAD" lead "$@" </dev/ttyS1 >/dev/ttyS1 2>&1
    report "exit $name $?"
}

export PATH=/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777,size=75% tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
ulimit -c 0
ulimit -n 65536
# Bytes go through as they are; only ^C means something.
stty -F /dev/ttyS1 raw -echo isig

while read -r module; do
    insmod "/lib/modules/$module.ko" || give_up "the module $module cannot be loaded"
done </lib/modules/order
[ -c /dev/kvm ] || give_up "there is no /dev/kvm after kvm-amd was loaded"

ifconfig lo 127.0.0.1 netmask 255.0.0.0 up
if [ -d /sys/class/net/eth0 ]; then
    ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
    route add default gw 10.0.2.2
fi
hostname emulated

read -r uptime _ </proc/uptime
report "ready $uptime"
. /atoll/steps
report "done"
poweroff -f
