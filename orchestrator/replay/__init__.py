"""Replay: strategies and votes judged on recorded answers of real experts, without asking anyone.

The decisions are those of the service: the same routers, the same votes, the same snapshot of
knowledge.  What a replay adds is the discipline of an experiment: whatever is learned or chosen
comes from the profile split, and an answer of the test split is seen only by asking for it.

    material    a recording, with the skills and vectors of its questions
    lesson      what was learned from some of them: knowledge, fitted votes
    session     one question asked for real, and a strategy's run over many
    choose      vote and strategy, by cross-validation on the profile split
    report      the figures
"""
