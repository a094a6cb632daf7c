"""What makes the documentation: pictures, real error messages, the site's hooks. No part of the installed package."""
