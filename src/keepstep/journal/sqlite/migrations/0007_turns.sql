-- Whether anything on a queue asks for turns, whatever is on the queues of others.
CREATE INDEX tasks_fair_of_queue ON tasks (queue) WHERE fairness_key <> '' OR fairness_weight <> 1.0;
