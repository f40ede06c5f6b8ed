"""What others do in the same time: trials and tasks that run nothing. Prints one JSON object."""
import json
import multiprocessing
import socket
import sys
import tempfile
import time

SECONDS = float(sys.argv[1])


def count(storage, name, seconds, sampler):
    """Trials that are asked for and told until the time is over."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name=name, storage=storage(), sampler=sampler())
    end, done = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, 0.0)
        done += 1
    return done


class Journal:
    def __init__(self, path):
        self.path = path

    def __call__(self):
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        return JournalStorage(JournalFileBackend(self.path))


class Grpc:
    def __init__(self, port):
        self.port = port

    def __call__(self):
        from optuna.storages import GrpcStorageProxy

        return GrpcStorageProxy(host="127.0.0.1", port=self.port)


def sampler():
    import optuna

    return optuna.samplers.RandomSampler()


def serve(path, port):
    from optuna.storages import run_grpc_proxy_server

    run_grpc_proxy_server(Journal(path)(), host="127.0.0.1", port=port)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def optuna_rate(storage):
    """Two processes, as there are two cores."""
    import optuna

    optuna.create_study(study_name="load", storage=storage())
    with multiprocessing.Pool(2) as pool:
        began = time.perf_counter()
        done = pool.starmap(count, [(storage, "load", SECONDS, sampler)] * 2)
        return sum(done) / (time.perf_counter() - began)


def optuna_figures():
    folder = tempfile.mkdtemp()
    figures = {"Optuna journal": optuna_rate(Journal(folder + "/journal.log"))}
    port = free_port()
    server = multiprocessing.Process(target=serve, args=(folder + "/served.log", port), daemon=True)
    server.start()
    end = time.perf_counter() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        if time.perf_counter() > end:
            raise TimeoutError("the gRPC server of Optuna does not answer")
        time.sleep(0.05)
    figures["Optuna gRPC over journal"] = optuna_rate(Grpc(port))
    server.terminate()
    return figures


def nothing(_):
    return None


def dask_figures():
    from dask.distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=8, dashboard_address=None, silence_logs=50) as cluster:
        with Client(cluster) as client:
            client.gather(client.map(nothing, range(100), pure=False))
            began, done = time.perf_counter(), 0
            while time.perf_counter() - began < SECONDS:
                client.gather(client.map(nothing, range(500), pure=False))
                done += 500
            return {"dask.distributed, not durable": done / (time.perf_counter() - began)}


if __name__ == "__main__":
    figures = {}
    for of in (optuna_figures, dask_figures):
        try:
            figures.update(of())
        except Exception as error:  # One that does not install or run must not hide the others.
            print(f"{of.__name__}: {error!r}", file=sys.stderr)
    print(json.dumps(figures))
