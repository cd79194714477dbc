-- What agreements mean for a split.

-- What bills of a plan say of their payer; part of the plan, so that a payment needs no look at it.
ALTER TABLE split_plans
    ADD COLUMN payer_category text CHECK (length(payer_category) BETWEEN 1 AND 64);

-- The tariffs of approved versions with recipients, a row a cell; a version without cells has one
-- row without a place, for it ends what was before it.
CREATE VIEW agreement_terms AS
    SELECT v.recipient, v.terms_version, v.valid_from, v.begins_at, v.ends_at, t.place, t.channel,
           t.payer_category, t.above_ppm, t.above_fixed, t.above_min, t.above_max, t.below_ppm,
           t.below_fixed, t.below_min, t.below_max
    FROM approved_agreements AS v LEFT JOIN agreement_tariffs AS t ON t.agreement = v.agreement
    WHERE v.recipient IS NOT NULL;
