-- Where the customer bears Paystack's fee, a charge is more than the price by that much. It bought nothing here, so it is
-- stated by itself: amount_kobo is what Paystack took, amount_kobo - surcharge_kobo is the price.
ALTER TABLE charges ADD COLUMN surcharge_kobo bigint NOT NULL DEFAULT 0
    CHECK (surcharge_kobo >= 0 AND surcharge_kobo <= amount_kobo);
