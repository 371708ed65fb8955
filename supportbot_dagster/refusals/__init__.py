"""The refuse-unknown habit: families of unanswerable questions and their deflections."""
