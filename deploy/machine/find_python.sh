#!/bin/sh
# find_python.sh [any] [NAME]: prints the path of the Python to use. Only POSIX sh.
#   NAME   that one, whatever it is
#   else   the newest of 3.11 to 3.14 on the PATH that can make virtual environments; failing that, the newest that cannot
#   any    the one in .venv/ first, and in the end one that is too old or too new: enough to look at the machine
# Ends with 1 and says why in words where there is none.
set -u
any=no
if [ "${1:-}" = any ]; then any=yes; shift; fi
asked=${1:-}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

if [ -n "$asked" ]; then
    if version_of "$asked" >/dev/null; then command -v "$asked"; exit 0; fi
    echo "PYTHON=$asked does not run." >&2
    exit 1
fi
if [ "$any" = yes ] && version_of .venv/bin/python >/dev/null; then echo .venv/bin/python; exit 0; fi

best=0 chosen='' refused='' other=''
for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
    version=$(version_of "$name") || continue
    case $version in
        3.11 | 3.12 | 3.13 | 3.14) ;;
        3.[89] | 3.[1-9][0-9]) other=$name refused="$refused $name is $version;"; continue ;;
        *) refused="$refused $name is $version;"; continue ;;
    esac
    rank=${version#3.}
    "$name" -c 'import venv, ensurepip' 2>/dev/null && rank=$((rank + 100))
    if [ "$rank" -gt "$best" ]; then best=$rank chosen=$name; fi
done
[ -z "$chosen" ] && [ "$any" = yes ] && chosen=$other
if [ -n "$chosen" ]; then command -v "$chosen"; exit 0; fi
echo "Boxoffice needs Python 3.11 to 3.14 and finds none on the PATH.${refused:+ There is:$refused}" >&2
echo "Install one (Debian, Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python@3.13;" >&2
echo "Alpine: apk add python3; Fedora: sudo dnf install python3; Windows: inside WSL2), or name it: make PYTHON=/path/to/python3.x" >&2
exit 1
