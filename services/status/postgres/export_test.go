package postgres

// ChoosesWritable reports whether connections are only made to a host that can be written.
func ChoosesWritable(c Config) (bool, error) {
	settings, err := c.pool()
	return err == nil && settings.ConnConfig.ValidateConnect != nil, err
}
