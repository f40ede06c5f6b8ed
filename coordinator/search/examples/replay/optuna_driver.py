"""Optuna's TPE behind a line protocol: one JSON object in, one out.

{"slots": {slot: [option, ..]}, "seed": s, "parallel": bool}  begins a study
{"ask": true}                                                  answers {"config": {slot: option}}
{"tell": number, "value": score or null}                       answers {}; number counts the asks from 0
"""

import json
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def main():
    study = slots = trials = None
    print(json.dumps({"version": optuna.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "slots" in request:
            slots = request["slots"]
            # The documented setting for several trials at once.
            sampler = optuna.samplers.TPESampler(seed=request["seed"], constant_liar=request["parallel"])
            study = optuna.create_study(direction="maximize", sampler=sampler)
            trials = []
            answer = {}
        elif "ask" in request:
            trial = study.ask()
            trials.append(trial)
            answer = {"config": {slot: trial.suggest_categorical(slot, options) for slot, options in slots.items()}}
        else:
            value = request["value"]
            if value is None:
                study.tell(trials[request["tell"]], state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trials[request["tell"]], value)
            answer = {}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
