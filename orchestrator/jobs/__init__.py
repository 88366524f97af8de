"""Jobs: a task put to a strategy, item by item, until every item has its result.

Refuses to know how engines are started and who asks them: open work goes through the ports of
:mod:`orchestrator.scheduling.work`.
"""
