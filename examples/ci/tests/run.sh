# Usage: run.sh PROGRAM CASES. Prints TAP; exits 1 where a case fails.
program=$1 number=0 failed=0
while IFS='|' read -r text expected; do
    number=$((number + 1))
    found=$("$program" "$text")
    if [ "$found" = "$expected" ]; then
        echo "ok $number - '$text'"
    else
        echo "not ok $number - '$text': expected '$expected', found '$found'"
        failed=$((failed + 1))
    fi
done <"$2"
long=$(printf '%0300d' 0)
number=$((number + 1))
if "$program" "$long" 2>/dev/null; then
    echo "not ok $number - a text that is too long is refused"
    failed=$((failed + 1))
else
    echo "ok $number - a text that is too long is refused"
fi
echo "1..$number"
[ "$failed" -eq 0 ]
