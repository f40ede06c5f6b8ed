"""Commands: `serve STUDY` (for the worker) and `predict MODEL DATA OUT [--delimiter C]` (for people)."""

import argparse
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ar_runner", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer a worker on file descriptor 3")
    serve.add_argument("study", help="folder with study.json and the data")
    predict = commands.add_parser("predict", help="predict the rows of a CSV file with a model.joblib")
    predict.add_argument("model")
    predict.add_argument("data")
    predict.add_argument("out")
    predict.add_argument("--delimiter", default=None, help="separator between cells; the study's by default")
    arguments = parser.parse_args()
    # Imported late: `serve` must be able to report an import that fails, and help needs none of it.
    if arguments.command == "serve":
        from ar_runner.serve import serve_study

        return serve_study(arguments.study)
    from ar_runner.predict import predict_file

    return predict_file(arguments.model, arguments.data, arguments.out, arguments.delimiter)


if __name__ == "__main__":
    sys.exit(main())
