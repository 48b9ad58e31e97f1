"""The pure maths of evidence: intervals, paired tests, power, multiplicity, and the comparison that puts them together.

Nothing here reads or writes anything. numpy and scipy are imported by the modules, never by this package, so that
importing `assay.stats.types` stays cheap; only `scipy.special` is used (not `scipy.stats`, which takes a second to
load). Every random step takes a seed or a `numpy.random.Generator`: the same input gives the same verdict.

    from assay.stats.compare import adjust, compare_paired, rate
"""
