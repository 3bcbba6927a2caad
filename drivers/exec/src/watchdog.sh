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
    started) without "$starting" "$id" && starting=$list && groups="$groups$group " ;;
    refused) without "$starting" "$id" && starting=$list ;;
    ended) without "$groups" "$id" && groups=$list ;;
    esac
done
for group in $groups; do
    kill -s KILL -- "-$group"
done
# The pipe's end also closes in a child only when it executes its program, so one whose start was
# not confirmed has its own environment by now, with the name of its output file.
for id in $starting; do
    for file in $(grep -lsF "CONVEYOR_OUTPUT=$1/$id/" /proc/[0-9]*/environ); do
        pid=${file#/proc/}
        pid=${pid%/environ}
        kill -s KILL -- "-$pid" "$pid"
    done
done
rm -rf -- "$1"
