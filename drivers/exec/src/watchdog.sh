# Ends what the engine started when the engine is gone, however it went: its end of the pipe that
# this reads is closed by the system. $1 is the engine's scratch directory.
trap '' HUP INT QUIT TERM
starting=' ' groups=' '
# `without LIST WORD`: LIST, which begins and ends with a space, without WORD.
without() {
    case $1 in
    *" $2 "*) list="${1%%" $2 "*} ${1#*" $2 "}" ;;
    *) list=$1 ;;
    esac
}
echo ready
while read -r event id group; do
    case $event in
    starting) starting="$starting$id " ;;
    started) without "$starting" "$id" && starting=$list && groups="$groups$id:$group " ;;
    refused) without "$starting" "$id" && starting=$list ;;
    ended) without "$groups" "$id:$group" && groups=$list ;;
    esac
done
# `kill_all ID`: all that have the attempt's output file in their environment, those too that are made
# meanwhile.
kill_all() {
    for round in 1 2 3 4 5 6 7 8 9 10; do
        # Its status says nothing: there are always processes that may not be read.
        files=$(grep -lsF "CONVEYOR_OUTPUT=$scratch/$1/" /proc/[0-9]*/environ)
        [ -n "$files" ] || return 0
        for file in $files; do
            pid=${file#/proc/}
            pid=${pid%/environ}
            kill -s KILL -- "-$pid" "$pid"
        done
    done
}
scratch=$1
for pair in $groups; do
    kill -s KILL -- "-${pair#*:}"
done
# Those that left their group; and of an attempt whose start was not confirmed all. The pipe's end also
# closes in a child only when it executes its program, so such a one has its own environment by now.
for pair in $groups $starting; do
    kill_all "${pair%%:*}"
done
rm -rf -- "$scratch"
