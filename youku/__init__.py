"""youku: low-resolution y4m clips in, scored super-resolution submission out.

    download ----> data/clips/*.y4m ----> train ----> runs/<name>/best.safetensors
    (or degrade)         |                                     |
                         +-----------> predict <---------------+
                                          |
                     runs/<name>/predictions/*.y4m
                                          |
                   submit ----> submissions/<name>/<name>.zip
                                          |
                    score ----> score.json ----> report ----> report.html

`python -m youku` lists the verbs; each is one module and also runs as `python -m youku.<verb>`.
"""

from youku import threads

__version__ = "0.1.0"

threads.wait_asleep()
