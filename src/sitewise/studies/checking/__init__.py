"""Is the model right? Checks made for censored data, each with a number, a picture and a sentence.

``residuals`` are events seen minus expected; ``discrepancies`` sum them up; ``reference`` says what size is usual;
``prediction`` and ``priors`` look at how well patients are told apart and how much of an answer is the prior; ``check`` is what
a user calls.
"""
