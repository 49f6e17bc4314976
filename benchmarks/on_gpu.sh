#!/usr/bin/env bash
# All that needs a GPU, by the clock: bash benchmarks/on_gpu.sh speeds|train SECONDS DATA OUT
#
# speeds: the tests that need one, then predict, training and number types, each at most its share of SECONDS.
# train: pairs-s and -m with a teacher, the recurrent ones on moving pictures; each times some steps, then takes as many as its
# share of SECONDS holds, so that the learning rate ends where it should. Weights lie in OUT, beside what each part printed.
# DATA: Set5 (as `evaluate` takes it), t91, div2k_test_lr, bsd400, photos, smfanet_plus_x4.safetensors and others (*_x4.safetensors).
# PYTHON= names the interpreter, PARTS= some parts alone; with FRAMES=4 STEPS=4 it is tried on a processor.
set -u
what=$1 seconds=$2 data=$(realpath "$3") out=$(realpath "$4")
here=$(cd "$(dirname "$0")" && pwd) python=${PYTHON:-python}
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
fast=$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)

# part NAME PERCENT COMMAND...: at most that share of the time; the end of what it printed
part() {
  local name=$1 limit=$((seconds * $2 / 100)); shift 2
  case " ${PARTS:-$name} " in *" $name "*) ;; *) return ;; esac
  echo "== $name (at most $limit s)"
  timeout -s INT -k 10 "$limit" "$@" >"$out/$name.log" 2>&1; echo "rc $?, $SECONDS s so far"
  grep -vE "^ |^Traceback" "$out/$name.log" | tail -n 25
}

# trained NAME PERCENT FLAGS...: paced, then trained for the rest of its share
trained() {
  local name=$1 limit=$((seconds * $2 / 100)); shift 2
  case " ${PARTS:-$name} " in *" $name "*) ;; *) return ;; esac
  local run=("$python" -m youku train --runs "$out/runs" --no-samples "$@") began=$SECONDS
  timeout -s INT -k 10 "$limit" "${run[@]}" --name "$name-pace" --steps "${STEPS:-400}" --val-every "${STEPS:-400}" >"$out/$name.log" 2>&1
  local pace=$(grep -oE '"steps_per_sec": [0-9.]+' "$out/runs/$name-pace/log.jsonl" 2>/dev/null | tail -n 1 | grep -oE '[0-9.]+$')
  local left=$((limit - (SECONDS - began)))
  [ -n "$pace" ] && [ "$left" -gt 0 ] || { echo "== $name: no step within $limit s"; tail -n 5 "$out/$name.log"; return; }
  local steps=$("$python" -c "print(max(4, int(0.8 * $left * $pace)))")
  echo "== $name: $pace steps/s, $steps steps in $left s"
  timeout -s INT -k 10 "$left" "${run[@]}" --name "$name" --steps "$steps" --pretrain-steps $((steps * 3 / 4)) --val-every $((steps / 4)) >>"$out/$name.log" 2>&1
  echo "rc $?, $SECONDS s so far"
  cp "$out/runs/$name/best.safetensors" "$out/$name.safetensors"
  grep -E "validation|above|below" "$out/$name.log" | tail -n 6
}

cd "$here/.." || exit
if [ "$what" = speeds ]; then
  part tests 30 "$python" -m pytest -m gpu -q -p no:cacheprovider -p no:benchmark
  part predict 25 "$python" benchmarks/predict.py --frames "${FRAMES:-200}" --repeats 3 --folder "$fast" --models fsrcnn srvgg-16 rlfn edsr-baseline pairs-s --dtypes float32 fp16
  part training 30 "$python" benchmarks/train.py --sources clips ${STEPS:+--steps $STEPS --repeats 1 --models fsrcnn}
  part dtypes 15 "$python" benchmarks/dtypes.py "$data/Set5" --weights "$data"/*_x4.safetensors
else
  pool=("$data/t91" "$data/div2k_test_lr" "$data/bsd400" "$data/photos")
  still=(--recipe pairs-s-pictures --data "${pool[@]}" --val-data "$data/Set5" --rescale 1,0.8,0.6 --teacher "$data/smfanet_plus_x4.safetensors" --teacher-share 0.5 --amp)
  moving=(--recipe recurrent-s --data "${pool[@]}" --val-clips 12 --val-metric psnr --amp)
  trained pairs-s 25 "${still[@]}"
  trained pairs-m 25 "${still[@]}" --model pairs-m
  trained recurrent-s 25 "${moving[@]}"
  trained bidirectional-s 25 "${moving[@]}" --model bidirectional-s
fi
