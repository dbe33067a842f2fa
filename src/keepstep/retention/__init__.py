"""Retention: how long closed runs are kept, and the guest of every worker that removes, and archives, the others.

=============  =======================================================================================================
``policy``     rules by closed status, as they were set, and how far they have been carried out
``keeping``    how they are set: they are the one run of a language of its own, so that all processes see the same
``sweep``      one batch: what may go is listed, archived if wanted, and only then removed
``guest``      the place of it in a worker
``sweeper``    does a batch for whoever has claimed the policy, and says when to look again
=============  =======================================================================================================
"""
