${include:common.i}
SocksPort 0
# On loopback only: chutney's own templates listen on every address of the machine, and the exits
# here allow every target.
ORPort ${ip}:${orport}
DirPort ${ip}:${dirport}
Address ${ip}
AssumeReachable 1
# Nobody here is in any country, and reading the table of them is half of what a start costs.
GeoIPFile /dev/null
GeoIPv6File /dev/null
