#!/usr/bin/env bash
# A driver of the conformance suite in bash, with curl and the coreutils: the contract as JSON over HTTP (transport `rest`), one
# task at once. docs/driver-contract.md is what it keeps (R1–R78), interpreter.proto what its action performs.
#
# Three processes: this one polls, answers, stops and reports; `beats` sends heartbeats; `perform` is user code, and sends its
# lines. They tell each other by files of $dir: N is the task's number here.
#   session, interval   what calls say of the session, and how often to send heartbeats, in milliseconds
#   holds               `N TOKEN` of the task that is named in heartbeats
#   heard, unknown      when a heartbeat was answered; the session is not known any more
#   N.cancel, N.stale   its grace in milliseconds; its claim is over
#   N.cancelled         user code is to end
#   N.progress, N.lines, N.result   what user code says of itself
#   N.batch         lines that were said and are not acknowledged yet: `BEFORE BEHIND CALL`
#   refused         the heartbeat that was a mistake
set -u
shopt -s extglob
export LC_ALL=C
umask 077
dir=$(mktemp -d)
mkfifo "$dir/never"
exec 9<>"$dir/never"
declare -A J=() done_with=()
stopping='' held=0 work='' beating=''
drain=${CONVEYOR_CONFORMANCE_DRAIN_MS:-2000}
features='["rest","tls","unix","cancel","logs","progress","checkpoints","secrets","adoption","drain"]'

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; : >"$dir/dead"; [[ $BASHPID == "$$" ]] || exit 1; bye 1; }
# Ends the driver, and all that it started.
bye() {
  local call
  kill -KILL $beating $work 2>"$dir/none"
  for call in "$dir"/call.*; do [[ ! -s $call ]] || kill -KILL "$(<"$call")" 2>"$dir/none"; done
  wait 2>"$dir/none"
  # A heartbeat may be about to write there.
  for call in 1 2 3 4 5; do rm -rf "$dir" 2>/dev/null && break; pause 0.02; done
  exit "$1"
}
now() { NOW=${EPOCHREALTIME/[.,]/}; NOW=${NOW:0:-3}; }
# A pause in seconds, without a process of its own; ends a process whose driver is gone.
pause() { read -rt "$1" -u 9; kill -0 "$$" 2>"$dir/none" || exit 1; }
# A file's text, which nobody sees half of.
put() { printf '%s\n' "$2" >"$dir/$1.$BASHPID" && mv "$dir/$1.$BASHPID" "$dir/$1"; }
trap 'stopping=${stopping:-${EPOCHREALTIME/[.,]/}}' TERM INT

# JSON. `parse TEXT` has each value's own text in J by its path (`tasks/0/token`), the number of a list's entries under
# PATH/#, and an object's names under PATH/%.
parse() { T=$1 P=0 J=(); value ''; }
blank() { while [[ ${T:P:1} == [$' \t\r\n'] ]]; do ((++P)); done; }
string() {
  local chunk slashes
  ((++P))
  while ((P < ${#T})); do
    # `%%` is slow where much is before the quote, and the rest of a long text where little is.
    chunk=${T:P:300}
    if [[ $chunk == *\"* ]]; then chunk=${chunk%%\"*}; else chunk=${T:P} chunk=${chunk/\"*}; fi
    slashes=${chunk##*[!\\]}
    ((P += ${#chunk} + 1))
    # A quote behind an odd number of backslashes is one of the string's.
    ((${#slashes} % 2)) || return
  done
}
value() {
  local path=$1 start count=0 names='' name
  blank
  start=$P
  case ${T:P:1} in
    '{')
      ((++P)); blank
      while [[ ${T:P:1} == '"' ]]; do
        name=$((P + 1)); string; name=${T:name:P - name - 1}
        names+="$name " ; blank; ((++P))
        value "$path${path:+/}$name"; blank
        [[ ${T:P:1} == , ]] && ((++P)); blank
      done
      ((++P)); J[$path/%]=$names ;;
    '[')
      ((++P)); blank
      while [[ ${T:P:1} != ']' ]] && ((P < ${#T})); do
        value "$path/$count"; ((++count)); blank
        [[ ${T:P:1} == , ]] && ((++P)); blank
      done
      ((++P)); J[$path/#]=$count ;;
    '"') string ;;
    *) name=${T:P:64} name=${name%%[],\}[:space:]]*}; ((P += ${#name} ? ${#name} : 1)) ;;
  esac
  J[${path:-.}]=${T:start:P - start}
}
# The text of a JSON string, as REPLY.
text_of() {
  local rest=${1:1:-1} code low byte
  REPLY=''
  while [[ $rest == *\\* ]]; do
    REPLY+=${rest%%\\*} rest=${rest#*\\}
    case ${rest:0:1} in
      n) REPLY+=$'\n' ;; t) REPLY+=$'\t' ;; r) REPLY+=$'\r' ;; b) REPLY+=$'\b' ;; f) REPLY+=$'\f' ;;
      u)
        code=$((16#${rest:1:4})) rest=${rest:4}
        if ((code >= 0xd800 && code < 0xdc00)) && [[ ${rest:1:2} == \\u ]]; then
          low=$((16#${rest:3:4})) rest=${rest:6} code=$((0x10000 + (code - 0xd800 << 10) + low - 0xdc00))
        fi
        ((code)) || code=0xfffd # bash holds no zero
        if ((code < 0x80)); then set -- $code
        elif ((code < 0x800)); then set -- $((code >> 6 | 0xc0)) $((code & 63 | 128))
        elif ((code < 0x10000)); then set -- $((code >> 12 | 0xe0)) $((code >> 6 & 63 | 128)) $((code & 63 | 128))
        else set -- $((code >> 18 | 0xf0)) $((code >> 12 & 63 | 128)) $((code >> 6 & 63 | 128)) $((code & 63 | 128)); fi
        for byte; do printf -v byte '\\x%x' "$byte"; printf -v byte '%b' "$byte"; REPLY+=$byte; done ;;
      *) REPLY+=${rest:0:1} ;;
    esac
    rest=${rest:1}
  done
  REPLY+=$rest
}
# A text as JSON, as REPLY.
quote() {
  local text=${1//\\/\\\\} code char
  text=${text//\"/\\\"}
  if [[ $text == *[[:cntrl:]]* ]]; then
    for ((code = 1; code < 32; code++)); do
      printf -v char "\\x$(printf %x "$code")"
      [[ $text != *"$char"* ]] || { printf -v REPLY '\\u%04x' "$code"; text=${text//"$char"/$REPLY}; }
    done
  fi
  REPLY="\"$text\""
}

# Calls. `post NAME BODY SECONDS` has the answer as ANSWER and STATUS, 000 where there is none. `@S` stands for the session.
printf 'content-type: application/json\n' >"$dir/headers"
[[ -z ${CONVEYOR_TOKEN:-} ]] || printf 'authorization: Bearer %s\n' "$CONVEYOR_TOKEN" >>"$dir/headers"
url=${CONVEYOR_URL:-http://127.0.0.1:7420}
how=(-sS -H "@$dir/headers" ${CONVEYOR_CA:+--cacert "$CONVEYOR_CA"})
[[ $url != unix:* ]] || { how+=(--unix-socket "${url#unix:}") url=http://localhost; }
post() {
  local session='' to="$dir/answer.$BASHPID" pid="$dir/call.$BASHPID" call
  [[ ! -e $dir/session ]] || session=$(<"$dir/session")
  curl "${how[@]}" --max-time "$3" -w '\n%{http_code} %header{retry-after}' --data-binary @- \
    "$url/v1/driver/$1" >"$to" 2>"$dir/none" <<<"${2/@S/$session}" &
  call=$!
  printf %s $call >"$pid"
  # A signal ends the waiting, not the call; a poll of a driver that is to stop brings nothing any more.
  while kill -0 $call 2>"$dir/none"; do
    [[ $1 != poll || -z $stopping ]] || kill $call
    wait $call
  done
  ANSWER=$(<"$to")
  rm -f "$to" "$pid"
  STATUS=${ANSWER##*$'\n'} ANSWER=${ANSWER%$'\n'*}
  RETRY_AFTER=${STATUS#* } STATUS=${STATUS%% *} STATUS=${STATUS:-000}
}
# Repeats a call as it was until it is answered (R78), or `$4` says that nobody wants it; 1 where it is a mistake.
call() {
  local wait=100 now_for
  while [[ -z ${4:-} ]] || "$4"; do
    [[ ! -e $dir/dead ]] || bye 1
    post "$1" "$2" "$3"
    case $STATUS in
      200) return 0 ;;
      # 501 comes with a later release: it does without.
      400 | 409 | 413 | 415 | 501) say "$1: $ANSWER"; return 1 ;;
      401 | 403) die "$1: $ANSWER" ;;
      404) [[ $1 == register ]] && die "$1: $ANSWER"; register; continue ;;
    esac
    [[ -z ${4:-} ]] || "$4" || break
    ((wait > 100)) || say "$1: ${ANSWER:-no answer}; trying again"
    now_for=$((wait * (100 + RANDOM % 50) / 100))
    [[ $RETRY_AFTER == [1-9]* ]] && ((now_for < RETRY_AFTER * 1000)) && now_for=$((RETRY_AFTER * 1000))
    pause "$((now_for / 1000)).$(printf %03d $((now_for % 1000)))"
    ((wait = wait * 2 > 5000 ? 5000 : wait * 2))
  done
  return 2
}
may_poll() { [[ -z $stopping ]]; }
may_go_on() { [[ -z $stopping ]] || { now; ((NOW < stopping / 1000 + drain)); }; }
# It holds nothing any more (R47).
leave() { [[ ! -e $dir/session ]] || post leave '{@S,"reason":"the driver stops"}' 2; say stopped; bye 0; }
register() {
  local adopts=''
  # Once a hello adopts what is held, it is no longer the earlier session's: no heartbeat goes out meanwhile.
  rm -f "$dir/session"
  [[ ! -e $dir/holds ]] || { adopts=$(<"$dir/holds") adopts="\"${adopts#* }\""; }
  quote "${CONVEYOR_CONFORMANCE_DRIVER:-interpreter}"
  call register "{\"hello\":{\"driver\":$REPLY,\"version\":\"${CONVEYOR_CONFORMANCE_VERSION:-1.0.0}\",\"sdk\":\"none: bash and curl\",
    \"contract_versions\":[1],\"capabilities\":$features,\"capacity\":1,\"adopts\":[$adopts],\"instance\":\"process $$\",
    \"actions\":[{\"name\":\"interpret\",\"inputs_schema\":{\"type\":\"object\",\"required\":[\"program\"],
    \"properties\":{\"program\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}}}]}}" 30 may_go_on || { may_go_on || leave; die "register: $ANSWER"; }
  local -A J
  parse "$ANSWER"
  printf '"session":%s,"resume_secret":%s' "${J[welcome/session]}" "${J[welcome/resume_secret]}" >"$dir/session.new" && mv "$dir/session.new" "$dir/session"
  line_bytes=${J[welcome/limits/log_line_bytes]:-65536} checkpoint_bytes=${J[welcome/limits/checkpoint_bytes]:-1048576}
  # What a batch takes: of the window a line is its text and 64 (R31).
  batch_bytes=${J[welcome/limits/log_batch_bytes]:-1048576} window=${J[welcome/log_window]:-1048576}
  ((batch_bytes = batch_bytes < 200000 ? batch_bytes : 200000, batch_bytes = batch_bytes < window ? batch_bytes : window))
  usual=${J[welcome/heartbeat_interval_ms]:-5000} usual=$((usual < 100 ? 100 : usual))
  [[ -e $dir/interval ]] && (($(<"$dir/interval") < usual)) || put interval "$usual"
  now; put heard "$NOW"
  rm -f "$dir/unknown"
  [[ -z $adopts || ${J[welcome/stale_tokens]:-} != *"$adopts"* ]] || : >"$dir/$held.stale"
  say "registered at $url"
}

# Heartbeats, also while nothing is held (R20). One that is not answered is not waited for.
beats() {
  local last=0 interval
  trap '' TERM INT
  while pause 0.02; do
    now
    # It gets shorter with a task.
    read -r interval <"$dir/interval"
    if ((NOW - last >= ${interval:-5000})) && [[ -s $dir/session ]]; then
      last=$NOW
      beat &
    fi
  done
}
beat() {
  local holds='' n token progress='' session='' i said
  [[ ! -e $dir/holds ]] || holds=$(<"$dir/holds")
  n=${holds%% *} token=\"${holds#* }\"
  [[ ! -e $dir/$n.progress ]] || progress=$(<"$dir/$n.progress")
  [[ ! -e $dir/session ]] || session=$(<"$dir/session")
  said="{$session,\"tasks\":[${holds:+{\"token\":$token$progress\}}]}"
  # What was a mistake is not said again (R78): another session or another task is something else.
  [[ ! -e $dir/refused || $(<"$dir/refused") != "$said" ]] || return
  post heartbeat "$said" 10
  case $STATUS in
    400 | 409 | 413 | 415 | 501)
      say "heartbeat: $ANSWER"
      # What user code says may be the mistake; its task goes on.
      if [[ -n $progress ]]; then rm -f "$dir/$n.progress"; else put refused "$said"; fi ;;
    404) : >"$dir/unknown" ;;
    401 | 403) die "heartbeat: $ANSWER" ;;
    200)
      now; put heard "$NOW"
      parse "$ANSWER"
      for ((i = 0; i < ${J[stale_tokens/#]:-0}; i++)); do [[ ${J[stale_tokens/$i]} != "$token" ]] || : >"$dir/$n.stale"; done
      for ((i = 0; i < ${J[cancels/#]:-0}; i++)); do
        [[ ${J[cancels/$i/token]} != "$token" ]] || put "$n.cancel" "${J[cancels/$i/grace_ms]:-0}"
      done ;;
  esac
}

# User code. `finish` ends it with a result.
finish() { printf %s "$1" >"$dir/$n.result"; exit 0; }
finish_cancelled() { [[ -n $ignores || ! -e $dir/$n.cancelled ]] || finish '"state":"cancelled"'; }
nap() { # milliseconds
  local end
  now; ((end = NOW + $1))
  while ((NOW < end)); do
    finish_cancelled
    ((end - NOW > 20)) && pause 0.02 || pause 0.002
    now
  done
}
# What stands for something in a text, as REPLY; `$2` makes of a value what is put in.
fill_in() {
  local text=$1 as=$2 name found FILLED=''
  while [[ $text =~ \$\{(attempt|checkpoint|secret:[^}]*)\} ]]; do
    found=${BASH_REMATCH[0]} name=${BASH_REMATCH[1]}
    case $name in
      attempt) REPLY=$attempt ;;
      checkpoint) REPLY=$checkpoint ;;
      *) REPLY=${secrets[${name#secret:}]-$found} ;;
    esac
    "$as" "$REPLY"
    FILLED+=${text%%"$found"*}$REPLY text=${text#*"$found"}
  done
  REPLY=$FILLED$text
}
as_it_is() { REPLY=$1; }
inside() { quote "$1"; REPLY=${REPLY:1:-1}; }
str() { text_of "${J[$1]:-\"\"}"; fill_in "$REPLY" as_it_is; }
raw() { fill_in "${J[$1]:-$2}" inside; }
mask() {
  local value
  REPLY=$1
  # Shorter ones would be found in everything.
  for value in "${secrets[@]}"; do ((${#value} < 4)) || REPLY=${REPLY//"$value"/***}; done
}
repeat() { # TEXT LENGTH
  REPLY=$1
  (($2)) && [[ -n $1 ]] || return
  while ((${#REPLY} <= $2)); do REPLY+=$REPLY; done
  letters "$2"
  REPLY=${REPLY:0:END}
}
# Where the text REPLY is cut between two letters, at so many bytes at most: JSON has no half of one.
letters() { END=$1; while [[ ${REPLY:END:1} == [$'\x80'-$'\xbf'] ]]; do ((--END)); done; }
add() { # TEXT TRUNCATED
  ((size + ${#1} + 64 <= batch_bytes && ${#batch[@]} < 5000)) || flush
  quote "$1"
  batch+=("{\"time_ms\":$NOW,\"stream\":$stream,\"text\":$REPLY,\"truncated\":$2}")
  ((size += ${#1} + 64))
}
flush() {
  local IFS=,
  ((${#batch[@]})) || return
  # Said is said, also where this process is killed before the answer comes (R28): another one says it again then.
  put "$n.batch" "$lines $((lines + ${#batch[@]})) {\"logs\":{\"token\":\"$token\",\"first_offset\":$lines,\"lines\":[${batch[*]}]}}"
  say_lines 30
  [[ ! -e $dir/$n.stale ]] || exit 1
  lines=$(<"$dir/$n.lines")
  size=0 batch=()
}
# Says what is in $dir/N.batch, and how many lines have been said then. `$1` seconds for a call; `$2` as the fourth of `call`.
say_lines() {
  local before behind lines IFS=' '
  read -r before behind lines <"$dir/$n.batch"
  put "$n.lines" "$behind"
  call logs "$lines" "$1" "${2:-}"
  case $? in
    0) [[ $ANSWER != *'"status":"stale"'* ]] || : >"$dir/$n.stale" ;;
    1) put "$n.lines" "$before" ;;
    *) return ;;
  esac
  rm -f "$dir/$n.batch"
}
log() { # PATH
  local text line i times=${J[$1/times]:-1} stream=${J[$1/stream]:-\"stdout\"} size=0 suffix=''
  local -a batch=()
  [[ $stream != '""' ]] || stream='"stdout"'
  str "$1/text"; repeat "$REPLY" "${J[$1/length]:-0}"; mask "$REPLY"
  text=$REPLY
  # `${text%?}` is slow where a text is long.
  [[ ${text: -1} != $'\n' ]] || text=${text:0:-1}
  now
  for ((i = 0; i < (times ? times : 1); i++)); do
    ((times < 2)) || suffix=" $i"
    while IFS= read -r line; do
      [[ ${line: -1} != $'\r' ]] || line=${line:0:-1}
      line+=$suffix
      while ((${#line} > line_bytes)); do
        REPLY=$line; letters "$line_bytes"
        add "${line:0:END}" true; line=${line:END}
      done
      add "$line" false
    done <<<"$text"
  done
  flush
}
perform() {
  local i p name ignores='' lines=0 kept
  trap '' TERM INT
  for ((i = 0; i < ${J[$inputs/program/#]:-0}; i++)); do
    p=$inputs/program/$i
    [[ ${J[$p/attempt]:-0} == 0 || ${J[$p/attempt]} == "$attempt" ]] || continue
    name=${J[$p/%]/attempt /} name=${name% } p+=/$name
    case $name in
      log) log "$p" ;;
      sleep) nap "${J[$p/ms]:-0}"; finish_cancelled ;;
      progress)
        str "$p/message"; mask "$REPLY"; quote "${REPLY:0:1000}"
        put "$n.progress" ",\"permille\":${J[$p/permille]:-0},\"message\":$REPLY" ;;
      checkpoint)
        str "$p/text"; repeat "$REPLY" "${J[$p/length]:-0}"
        # More would be refused (R37).
        ((${#REPLY} <= checkpoint_bytes)) || continue
        call checkpoint "{\"checkpoint\":{\"token\":\"$token\",\"data\":\"$(printf %s "$REPLY" | base64 -w0)\"}}" 30
        [[ $ANSWER != *'"status":"stale"'* ]] || { : >"$dir/$n.stale"; exit 1; } ;;
      return)
        raw "$p/outputs" '{}'
        if ((${J[$p/length]:-0})); then
          kept=$REPLY; repeat x "${J[$p/length]}"
          [[ $kept == \{*[![:space:]]*\} ]] && kept=",${kept#\{}" || kept=\}
          REPLY="{\"text\":\"$REPLY\"$kept"
        fi
        finish "\"state\":\"succeeded\",\"outputs\":$REPLY" ;;
      fail)
        str "$p/code"; quote "$REPLY"; kept="\"code\":$REPLY"
        str "$p/message"; mask "$REPLY"; quote "$REPLY"; kept+=",\"message\":$REPLY"
        for name in retryable retry_after_ms details; do
          [[ -z ${J[$p/$name]:-} ]] || { raw "$p/$name" ''; mask "$REPLY"; kept+=",\"$name\":$REPLY"; }
        done
        [[ ${J[$p/errored]:-} == true ]] && name=errored || name=failed
        finish "\"state\":\"$name\",\"failure\":{$kept}" ;;
      throw) str "$p/message"; thrown "$REPLY" ;;
      await_cancel) while [[ ! -e $dir/$n.cancelled ]]; do pause 0.02; done; ignores=yes ;;
      ignore_cancel) ignores=yes ;;
      spin) now; ((kept = NOW + ${J[$p/ms]:-0})); while ((NOW < kept)); do now; done ;;
      allocate) printf -v kept "%$((${J[$p/bytes]:-0}))s" '' ;;
      record) str "$p/file"; name=$REPLY; str "$p/text"; printf '%s\n' "$REPLY" >>"$name" ;;
      wait_for) str "$p/file"; name=$REPLY; while [[ ! -e $name ]]; do finish_cancelled; pause 0.02; done ;;
      echo) carried; finish "\"state\":\"succeeded\",\"outputs\":$REPLY" ;;
      *) thrown "there is no command \`$name\` here" ;;
    esac
  done
  ignores=''; finish_cancelled
  finish '"state":"succeeded"'
}
thrown() { mask "$1"; quote "$REPLY"; finish "\"state\":\"failed\",\"failure\":{\"code\":\"exception\",\"message\":$REPLY}"; }
carried() {
  local name all='' names
  for name in run step instance attempt; do all+="\"$name\":${J[$task/id/$name]},"; done
  for name in namespace pipeline action inputs labels traceparent grace_ms parameters; do
    [[ -z ${J[$task/$name]:-} ]] || all+="\"$name\":${J[$task/$name]},"
  done
  [[ -z ${J[$task/checkpoint]:-} ]] || { quote "$checkpoint"; all+="\"checkpoint\":$REPLY,"; }
  names=$(for name in "${!secrets[@]}"; do printf '"%s"\n' "$name"; done | sort | paste -sd,)
  now
  REPLY="{$all\"secrets\":[$names],\"time_left_ms\":$((deadline - NOW))}"
}

# A task, from its arrival until its report is answered.
refuse() { done_with[$token]=refused; call answer "{@S,\"answers\":[{\"token\":\"$token\",\"refused\":{\"reason\":\"$1\"}}]}" 5 may_go_on; }
report() {
  until call report "$1" 5 wanted && [[ $ANSWER == *'"status":"'@(accepted|already|stale|invalid)'"'* ]]; do
    [[ $STATUS == 200 ]] && wanted || break
    pause 5
  done
}
wanted() { may_go_on && [[ ! -e $dir/$n.stale ]]; }
# A cancel may have waited for the next heartbeat.
stop_work() {
  now
  asked=$1
  ((cut = NOW + $1 * 4 / 5 - ($2 < $1 / 2 ? $2 : $1 / 2), cut_lines = cut + $1 / 10))
  : >"$dir/$n.cancelled"
}
kill_work() { kill -KILL "$work" 2>"$dir/none"; wait "$work" 2>"$dir/none"; }
# Lines that were said and not acknowledged are said again (R43), as long as the report still comes within the grace.
may_say_lines() { wanted || return; now; ((NOW < cut_lines)); }
# Until user code has ended; 1 where nothing is to be told of it.
watch() {
  local cut='' cut_lines=0 heard
  while kill -0 "$work" 2>"$dir/none"; do
    pause 0.02
    [[ ! -e $dir/dead ]] || bye 1
    [[ ! -e $dir/unknown ]] || register
    now
    if [[ -e $dir/$n.stale ]]; then kill_work; return 1; fi
    if [[ -e $dir/$n.cancel ]]; then
      read -r asked <"$dir/$n.cancel"; unheard=''
      if ((asked == 0)); then kill_work; return 1; fi
      [[ -n $cut ]] || stop_work "$asked" "$interval"
    elif [[ -z $cut ]]; then
      read -r heard <"$dir/heard"
      if ((NOW >= deadline)); then stop_work "$grace" 0
      elif ((NOW - (${heard:-$NOW} > since ? ${heard:-$NOW} : since) > timeout * 2 / 3)); then unheard=yes; stop_work "$grace" 0; fi
    fi
    if [[ -n $cut ]] && ((NOW >= cut)); then
      kill_work
      [[ ! -e $dir/$n.batch ]] || say_lines "$((asked / 10000)).$(printf %03d $((asked / 10 % 1000)))" may_say_lines
      printf '"state":"cancelled"' >"$dir/$n.result"
      return 0
    fi
    may_go_on || { kill_work; leave; }
  done
  wait "$work"
  [[ -s $dir/$n.result ]] || printf '"state":"failed","failure":{"code":"exception","message":"user code has no result"}' >"$dir/$n.result"
}
take() {
  local task=tasks/0 inputs=tasks/0/inputs n token since deadline grace timeout attempt checkpoint='' unheard='' asked heard interval name last
  local -A secrets=()
  token=${J[$task/token]:1:-1}
  case ${done_with[$token]:-} in
    over) return ;;
    refused) refuse 'it was refused before'; return ;;
    ?*) n=again; report "${done_with[$token]}"; return ;;
  esac
  now; since=$NOW
  timeout=${J[$task/heartbeat_timeout_ms]} grace=${J[$task/grace_ms]} attempt=${J[$task/id/attempt]}
  ((deadline = NOW + ${J[$task/time_left_ms]}))
  read -r interval <"$dir/interval"; read -r heard <"$dir/heard"
  if [[ -n $stopping ]]; then refuse 'the driver is about to stop'; return; fi
  if ((NOW - heard > timeout * 2 / 3 && NOW - heard > interval * 3 / 2)); then refuse 'the engine was not heard for too long'; return; fi
  # Three heartbeats fit into the shortest timeout (R20), and into the grace: cancels come with their answers alone.
  ((asked = timeout < grace ? timeout : grace, interval = asked * 3 / 10 < interval ? asked * 3 / 10 : interval))
  put interval $((interval < 100 ? 100 : interval))
  [[ -z ${J[$task/checkpoint]:-} ]] || checkpoint=$(base64 -d <<<"${J[$task/checkpoint]:1:-1}"; echo .) checkpoint=${checkpoint%.}
  for name in ${J[$task/secrets/%]:-}; do secrets[$name]=$(base64 -d <<<"${J[$task/secrets/$name]:1:-1}"); done
  n=$((++held))
  put holds "$n $token"
  done_with[$token]=over
  if call answer "{@S,\"answers\":[{\"token\":\"$token\",\"accepted\":{}}]}" 5 wanted && [[ $ANSWER != *"\"$token\""* ]]; then
    perform &
    work=$!
    if watch; then
      if [[ -n $unheard && $(<"$dir/$n.result") != '"state":"succeeded"'* ]]; then
        # Nobody asked for its end (R22).
        refuse 'the engine was not heard for too long'
      else
        last=''
        [[ ! -s $dir/$n.lines || $(<"$dir/$n.lines") == 0 ]] || last=",\"last_log_offset\":$(($(<"$dir/$n.lines") - 1))"
        done_with[$token]="{\"report\":{\"token\":\"$token\",\"result\":{$(<"$dir/$n.result")$last}}}"
        report "${done_with[$token]}"
      fi
    fi
    work=''
  fi
  rm -f "$dir/holds" "$dir/$n".*
}

main() {
  [[ ${CONVEYOR_CONFORMANCE_TRANSPORT:-rest} == rest ]] || die "this driver has the transport \`rest\` alone"
  register
  beats &
  beating=$!
  while [[ -z $stopping ]]; do
    [[ ! -e $dir/unknown ]] || register
    now; began=$NOW
    if call poll "{@S,\"request_id\":\"$SRANDOM-$SRANDOM\",\"max_tasks\":1,\"wait_ms\":20000}" 50 may_poll; then
      parse "$ANSWER"
      if ((${J[tasks/#]:-0})); then take; continue; fi
      now; ((NOW - began > 200)) || pause 0.2
    elif [[ -z $stopping ]]; then
      die "poll: $ANSWER"
    fi
  done
  leave
}
main
